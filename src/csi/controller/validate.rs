//! `ValidateVolumeCapabilities`.

use tonic::Status;

use super::Controller;
use crate::{
    csi::{
        capability::Use,
        generated::{
            ValidateVolumeCapabilitiesRequest, ValidateVolumeCapabilitiesResponse,
            validate_volume_capabilities_response::Confirmed,
        },
        server::Deadline,
        status::invalid,
    },
    mount::control::Mounts,
    storage::{context::Context, handle::Handle, parameters::Parameters},
};

impl<M: Mounts> Controller<M> {
    pub(super) async fn validate(
        &self,
        request: ValidateVolumeCapabilitiesRequest,
        deadline: Deadline,
    ) -> Result<ValidateVolumeCapabilitiesResponse, Status> {
        let mut handle = Handle::parse(&request.volume_id)?;
        if request.volume_capabilities.is_empty() {
            return Err(invalid("volume_capabilities are missing"));
        }
        let uses = request.volume_capabilities.iter().map(Use::of).collect::<Result<Vec<_>, _>>()?;
        let context = Context::read(&request.volume_context);
        if matches!(handle, Handle::Named(_) | Handle::Opaque(_)) && matches!(context, Ok(Some(_))) {
            let place = self.pools.known().locate(&request.volume_id, &request.volume_context)?;
            handle = Handle::Static(place.source);
        }
        self.find(&handle, deadline).await?;
        let refused = |status: Status| status.message().to_owned();
        let unsuitable = uses.iter().find_map(|one| one.options().err().map(refused));
        let unsuitable = unsuitable.or_else(|| context.err().map(|error| error.to_string()));
        let pairs = request.parameters.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let parameters = (!request.parameters.is_empty()).then(|| Parameters::parse(pairs));
        let unsuitable = unsuitable.or_else(|| Some(parameters?.err()?.to_string()));
        let changeable = !request.mutable_parameters.is_empty();
        let unsuitable =
            unsuitable.or_else(|| changeable.then(|| "there are no mutable_parameters here".to_owned()));
        Ok(match unsuitable {
            Some(message) => ValidateVolumeCapabilitiesResponse { confirmed: None, message },
            None => {
                let confirmed = Confirmed {
                    volume_context: request.volume_context,
                    volume_capabilities: request.volume_capabilities,
                    parameters: request.parameters,
                    mutable_parameters: request.mutable_parameters,
                };
                ValidateVolumeCapabilitiesResponse { confirmed: Some(confirmed), message: String::new() }
            }
        })
    }
}
